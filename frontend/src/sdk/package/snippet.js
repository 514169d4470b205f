export { STUB, snippet } from "../bundles/stub.js";
