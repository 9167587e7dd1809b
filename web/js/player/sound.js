// The sound of a clip, which is the clock of its pictures for as long as it plays.

export class Sound {
  #audio = null;
  #seconds = 0; // of the clock, when it last followed the sound
  #since = 0;

  // The clock of a playhead, in seconds: the sound's own, or after its end one that goes on.
  clock = () => {
    const now = performance.now() / 1000;
    const audio = this.#audio;
    if (audio && !audio.paused && !audio.ended && !audio.error) {
      [this.#seconds, this.#since] = [audio.currentTime, now];
      return this.#seconds;
    }
    return this.#seconds + now - this.#since;
  };

  // url: of a file; null for none.
  set(url) {
    if (url === (this.#audio?.dataset.url ?? null)) return;
    this.close();
    if (!url) return;
    this.#audio = new Audio(url);
    this.#audio.preload = "auto";
    this.#audio.dataset.url = url;
  }

  get there() {
    return this.#audio !== null;
  }

  get muted() {
    return this.#audio?.muted ?? false;
  }

  set muted(muted) {
    if (this.#audio) this.#audio.muted = muted;
  }

  // Play from so many seconds on. A page that may not play sounds shows the pictures all the same.
  play(seconds) {
    this.#from(seconds);
    if (this.#audio && !(seconds >= this.#audio.duration)) this.#audio.play().catch(() => {});
  }

  pause() {
    this.#audio?.pause();
  }

  close() {
    this.#audio?.pause();
    this.#audio?.removeAttribute("src"); // else the browser goes on fetching
    this.#audio?.load();
    this.#audio = null;
  }

  #from(seconds) {
    [this.#seconds, this.#since] = [seconds, performance.now() / 1000];
    if (this.#audio) this.#audio.currentTime = seconds;
  }
}
