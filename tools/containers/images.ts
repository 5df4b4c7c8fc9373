/** Whether an image's name says which version it is, so that tomorrow's build is today's: `name:1.2.3…` or a digest. */
export function isPinned(image: string): boolean {
  return /@sha256:[0-9a-f]{64}$/.test(image) || /:v?\d+\.\d+(\.\d+)?(-[\w.-]+)?$/.test(image);
}
