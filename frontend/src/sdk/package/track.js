export { start } from "../client.js";
