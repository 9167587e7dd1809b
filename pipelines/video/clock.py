"""When each frame is shown: a file's own times, put in order where they are not."""

from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .findings import Findings

# A picture held longer than this is worth a note; in a broadcast it means that the clock was set.
LONGEST = Fraction(10)
# Times that go back further than this begin anew: files that were joined. Less is disorder.
RESTART = Fraction(1, 2)
# These store the order of decoding only; the presentation times that readers give are guesses.
DECODING_ORDER = frozenset({"avi"})
# Broadcasts may set their clock anew at any moment (AVFMT_TS_DISCONT).
RESETTABLE = frozenset({"mpegts", "mpeg"})
# Browsers show a GIF's delays of 10 ms and less as 100 ms.
GIF_SHORTEST, GIF_USUAL = Fraction(1, 100), Fraction(1, 10)


class Clock:
    """The times of frames that come in the order in which they are shown, each after the last.

    Presentation times decide. Where one is missing, or is not after the last, the frame follows
    by the step between decoding times, or else after the `usual` length of a frame. Where the
    file's clock begins anew, later times are counted on from there, and the sound is told by how
    much in `findings.restarts`.

    container: libav's name of the format. usual: seconds between frames at the file's rate.
    """

    def __init__(self, container: str, usual: Fraction, findings: "Findings") -> None:
        self._by_decoding = container in DECODING_ORDER
        self._resettable = container in RESETTABLE
        self._gif = container == "gif"
        self._usual = GIF_USUAL if self._gif else usual
        self._findings = findings
        self._offset = Fraction(0)
        self._last: Fraction | None = None
        self._decoded: Fraction | None = None

    def time_of(self, frame: Any, start: Fraction) -> Fraction:
        """Seconds of the file's clock. start: those of a first frame that has no time."""
        base = frame.time_base or Fraction(1, 1000)
        own = None if frame.pts is None else frame.pts * base
        decoded = None if frame.dts is None else frame.dts * base
        if self._last is None:
            time = self._first(own, decoded, start)
        else:
            time = self._next(decoded if self._by_decoding else own, decoded, self._last)
        self._last, self._decoded = time, decoded
        return time

    def length_of(self, stated: Fraction) -> Fraction:
        """How long the last frame is shown, from what the file says of it."""
        if self._gif and stated <= GIF_SHORTEST:
            return GIF_USUAL
        return stated if 0 < stated <= LONGEST else self._usual

    def _first(self, own: Fraction | None, decoded: Fraction | None, start: Fraction) -> Fraction:
        if own is None:
            return start if decoded is None else decoded
        if self._by_decoding and decoded is not None:
            # A decoder that reorders holds its first frames back: the guess is nearer then.
            self._offset = min(Fraction(0), own - decoded)
            return decoded + self._offset
        return own

    def _next(self, own: Fraction | None, decoded: Fraction | None, last: Fraction) -> Fraction:
        following = last + self._step(decoded)
        if own is None:
            return following
        time = own + self._offset
        if self._gif and time - last <= GIF_SHORTEST:
            self._offset += following - time
            return following
        back = last - time > max(RESTART, 4 * self._usual)
        if back or (self._resettable and time - last > LONGEST):
            self._offset += last + self._usual - time
            self._findings.restarts.append(self._offset)
            return last + self._usual
        if time <= last:
            return following
        if time - last > LONGEST:
            self._findings.note_gap(last, time)
        return time

    def _step(self, decoded: Fraction | None) -> Fraction:
        if self._gif or decoded is None or self._decoded is None:
            return self._usual
        step = decoded - self._decoded
        return step if 0 < step <= LONGEST else self._usual
