/** `<livetally-count server="…" key="lt_read_…" type="click" subject="red" label="clicks">` */
declare global {
  interface HTMLElementTagNameMap {
    "livetally-count": HTMLElement;
  }
}

export {};
