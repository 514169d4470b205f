/** An event that was not counted, as far as it was made. */
export interface UncountedEvent {
  type: unknown;
  subject: unknown;
  id?: string;
  session?: string;
  occurred_at?: string;
  properties?: Record<string, unknown>;
}

/** Why events were not counted, and never will be; or, without events, why none is being counted. */
export interface Problem {
  code: string;
  message: string;
  events: UncountedEvent[];
}

export interface Options {
  /** The address of the service. */
  server: string;
  /** A write key; without one nothing is counted. */
  key?: string | null;
  /** Count page views, also in single-page apps: true. */
  pageViews?: boolean;
  /** What follows the # in an address is part of the page's path: false. */
  hashRoutes?: boolean;
  /** Count /about, /about/ and /about/index.html as one page: false. */
  joinPaths?: boolean;
  /** Count clicks and hovers on elements with `data-livetally`: true. */
  attributes?: boolean;
  /** Sample where the pointer is: false. */
  pointer?: boolean;
  /** Count also those whose browser says Do Not Track or Global Privacy Control: false. */
  ignoreDoNotTrack?: boolean;
  /** Count also browsers that a program steers, as tests do: false. */
  automation?: boolean;
  /** Told what was not counted; without it the console is. */
  onerror?: (problem: Problem) => void;
}

export interface Client {
  readonly server: string;
  /** Counts one event. Returns its id, or null if nothing is counted. */
  track(type: string, subject: string, properties?: Record<string, unknown>): string | null;
  /** Counts a view of a page, of this one by default. */
  pageView(path?: string, properties?: Record<string, unknown>): string | null;
  /** Counts with another key from now on, also what still waits. */
  useKey(key: string): void;
  /** Stops counting; what was counted is still sent. */
  stop(): void;
}

/** Starts counting on this page. */
export function start(options: Options): Client;
