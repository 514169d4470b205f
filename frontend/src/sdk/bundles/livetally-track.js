import { start } from "../client.js";
import { startScript } from "./script.js";

startScript("livetally-track.js", start);
