// The sound of a clip, which is the clock of its pictures for as long as it plays.

export class Sound {
  #audio = null;
  #seconds = 0; // of the clock, when it last followed the sound
  #since = 0;

  // The clock of a playhead, in seconds: the sound's own, or after its end one that goes on.
  clock = () => {
    const audio = this.#audio;
    if (audio && !audio.paused && !audio.ended && !audio.error) this.#follow(audio.currentTime);
    return this.#seconds + performance.now() / 1000 - this.#since;
  };

  // url: of a file, if there is one.
  set(url) {
    if (this.#audio && url === this.#audio.dataset.url) return;
    this.close();
    if (!url) return;
    this.#audio = new Audio(url);
    this.#audio.preload = "auto";
    this.#audio.dataset.url = url;
  }

  get there() {
    return this.#audio !== null;
  }

  set muted(muted) {
    if (this.#audio) this.#audio.muted = muted;
  }

  // Play from so many seconds on. A page that may not play sounds shows the pictures all the same.
  play(seconds) {
    this.#follow(seconds);
    if (!this.#audio) return;
    this.#audio.currentTime = seconds;
    if (!(seconds >= this.#audio.duration)) this.#audio.play().catch(() => {});
  }

  pause() {
    this.#audio?.pause();
  }

  close() {
    this.pause();
    this.#audio?.removeAttribute("src"); // else the browser goes on fetching
    this.#audio?.load();
    this.#audio = null;
  }

  #follow(seconds) {
    [this.#seconds, this.#since] = [seconds, performance.now() / 1000];
  }
}
