// The microphone of this device, from the user's leave to the end of the call.

export class Microphone {
  constructor(view) {
    this.view = view;
    this.stream = null;
    this.attempt = 0;
  }

  /** Asks for it; a call goes on without it when there is none, or no leave. */
  async open() {
    if (this.stream) return;
    const attempt = this.attempt;
    this.view.microphone("asking");
    try {
      if (!navigator.mediaDevices) throw new DOMException("insecure", "SecurityError");
      const audio = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
      const stream = await navigator.mediaDevices.getUserMedia({ audio });
      if (attempt !== this.attempt) return stream.getTracks().forEach((track) => track.stop());
      this.stream = stream;
      this.view.microphone("on");
    } catch (error) {
      this.view.microphone(error.name);
    }
  }

  toggle() {
    const track = this.stream?.getAudioTracks()[0];
    if (!track) return;
    track.enabled = !track.enabled;
    this.view.refresh();
  }

  /** Gives it back; with `keep` only what was asked for and not granted yet. */
  close(keep = false) {
    this.attempt++;
    if (keep) return;
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = null;
  }
}
