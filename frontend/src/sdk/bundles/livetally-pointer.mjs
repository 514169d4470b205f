export { watchPointer } from "../page/pointer.js";
