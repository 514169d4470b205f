import { startScript } from "./script.js";
import { start } from "../with_live.js";

startScript("livetally.js", start);
