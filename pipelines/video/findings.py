"""What reading a file brings to light."""

from dataclasses import dataclass, field
from fractions import Fraction


@dataclass
class Findings:
    """What reading a file brought to light; filled in while its frames go by."""

    decoded: int = 0
    broken: int = 0
    cut_short: bool = False
    restarts: list[Fraction] = field(default_factory=list)
    """Seconds that are added to the file's clock after each moment at which it begins anew."""
    notes: list[str] = field(default_factory=list)
    _gap: bool = False

    def count_broken(self) -> None:
        self.broken += 1

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def note_gap(self, early: Fraction, late: Fraction) -> None:
        """Say of the first picture that is held for long what the file says of it."""
        if not self._gap:
            self.note(
                f"A picture is shown for {float(late - early):.6g} s (at {float(early):.6g} s): "
                "the file's clock may be wrong. The clip keeps the file's timing."
            )
        self._gap = True

    def warnings(self) -> tuple[str, ...]:
        lines = list(self.notes)
        if self.cut_short:
            lines.insert(
                0, f"The file is cut short: only its first {self.decoded} frames could be decoded."
            )
        elif self.broken:
            lines.insert(0, f"{self.broken} damaged piece(s) of the video were left out.")
        return tuple(lines)
