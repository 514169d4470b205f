import type { Options } from "./track.js";

/** JavaScript that keeps calls of `livetally.track`, `pageView` and `live` until the SDK is here. */
export const STUB: string;

/** HTML that starts the SDK in a page, which waits for nothing. */
export function snippet(options: Omit<Options, "onerror"> & { readKey?: string }): string;
