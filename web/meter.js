/** Loudness of a microphone, for the eye. */

const FLOOR_DB = -58;
const CEILING_DB = -12;
/** Share of the gap closed a frame: up fast, down slowly, as the eye likes it. */
const RISE = 0.6;
const FALL = 0.12;

/** Watches a stream and reports its level. */
export class Meter {
  /**
   * @param {MediaStream} stream
   * @param {(level: number) => void} show level in [0, 1], at most once a screen refresh
   */
  constructor(stream, show) {
    this.show = show;
    this.level = 0;
    this.context = new AudioContext({ latencyHint: "playback" });
    this.context.resume().catch(() => {});
    this.source = this.context.createMediaStreamSource(stream);
    this.analyser = new AnalyserNode(this.context, { fftSize: 1024 });
    this.source.connect(this.analyser);
    this.samples = new Float32Array(this.analyser.fftSize);
    this.request = requestAnimationFrame(() => this.#measure());
  }

  #measure() {
    this.analyser.getFloatTimeDomainData(this.samples);
    let power = 0;
    for (const sample of this.samples) power += sample * sample;
    const loudness = 10 * Math.log10(power / this.samples.length + 1e-12);
    const target = Math.min(1, Math.max(0, (loudness - FLOOR_DB) / (CEILING_DB - FLOOR_DB)));
    this.level += (target - this.level) * (target > this.level ? RISE : FALL);
    this.show(this.level < 0.004 ? 0 : this.level);
    this.request = requestAnimationFrame(() => this.#measure());
  }

  close() {
    cancelAnimationFrame(this.request);
    this.source.disconnect();
    this.context.close().catch(() => {});
  }
}
