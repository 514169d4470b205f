/** Few pages ask for it: the others don't load it. */
export const loadPointer = () => import("./pointer.js");
