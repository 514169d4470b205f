import { defineCount } from "../live/count.js";

defineCount(null);
