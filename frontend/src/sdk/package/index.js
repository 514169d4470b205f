export { start } from "../with_live.js";
