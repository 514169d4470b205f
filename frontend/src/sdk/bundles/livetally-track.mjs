import { start as startAt } from "../client.js";

const here = import.meta.url;

export const start = (options) => startAt({ server: new URL("..", here).href, ...options });
