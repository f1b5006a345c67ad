/** A picture from the camera. */

const SHAPE = { facingMode: "user", width: { ideal: 1920 }, height: { ideal: 1440 } };

/** Why the camera gives no picture; the message is fit to be shown. */
export class CameraError extends Error {}

export class Camera {
  /** @param {HTMLVideoElement} video shows what the camera sees */
  constructor(video) {
    this.video = video;
    /** @type {MediaStream | null} */
    this.stream = null;
    this.wanted = false;
  }

  /**
   * Asks for the camera and shows it; gives false where it was closed meanwhile.
   * @throws {CameraError}
   */
  async open() {
    this.wanted = true;
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new CameraError("This address or browser cannot use a camera: choose a file.");
    }
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: SHAPE, audio: false });
    } catch (error) {
      throw new CameraError(reason(error));
    }
    if (!this.wanted) {
      for (const track of stream.getTracks()) track.stop();
      return false;
    }
    this.stream = stream;
    this.video.srcObject = stream;
    await this.video.play().catch(() => {});
    return true;
  }

  /** @returns {Promise<Blob>} what is seen now, as JPEG, not mirrored */
  async shoot() {
    const canvas = document.createElement("canvas");
    canvas.width = this.video.videoWidth;
    canvas.height = this.video.videoHeight;
    canvas.getContext("2d")?.drawImage(this.video, 0, 0);
    const picture = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.95));
    if (!picture) throw new CameraError("The camera gave no picture. Try again.");
    return picture;
  }

  close() {
    this.wanted = false;
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = null;
    this.video.srcObject = null;
  }
}

/** @param {unknown} error */
function reason(error) {
  const name = error instanceof DOMException ? error.name : "";
  if (name === "NotAllowedError" || name === "SecurityError") {
    return "The camera is blocked. Allow it for this page (the icon beside the address), or choose a file.";
  }
  if (name === "NotFoundError" || name === "OverconstrainedError") return "No camera was found: choose a file.";
  return "The camera does not start. Another program may be holding it.";
}
