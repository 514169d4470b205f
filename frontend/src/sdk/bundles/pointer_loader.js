/** In place of page/pointer_loader.js: a script of another origin may only name a whole address. */
export const loadPointer = (server) => import(`${server}js/livetally-pointer.mjs`);
