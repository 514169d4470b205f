import { defineCount } from "../live/count.js";
import { readScript } from "./script.js";

defineCount(readScript("livetally-count.js").server);
