import { start as startAt } from "../with_live.js";
import { takeOver } from "./stub.js";

const here = import.meta.url;

export const start = (options) =>
  takeOver(startAt({ server: new URL("..", here).href, ...options }));
