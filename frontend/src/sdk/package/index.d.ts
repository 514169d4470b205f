import type { Client, Options } from "./track.js";

export type { Client, Options, Problem, UncountedEvent } from "./track.js";

/** The last event of each slot that was seen. */
export type Position = Record<string, number>;

export type Topic =
  | { totals: string; subjects?: string[] }
  | { feed: string; subject?: string; since?: Position }
  | { item: [key: string, id: string] }
  | { items: string }
  | { pointers: string };

export interface FeedEvent {
  id: string;
  type: string;
  subject: string;
  received_at: string;
  session?: string | null;
  occurred_at?: string | null;
  properties?: Record<string, unknown> | null;
}

export interface Item {
  key: string;
  id: string;
  version: number;
  updated_at?: string;
  value?: unknown;
  removed?: true;
}

export interface Pointer {
  session: string;
  x: number;
  y: number;
  at: string;
}

/** A topic as it is now (`snapshot`), or what has changed of it (`update`): absolute values. */
export interface Counts {
  type: "snapshot" | "update";
  totals?: Record<string, number>;
  total?: number;
  items?: Item[];
  more?: boolean;
  pointers?: Pointer[];
  gone?: string[];
}

/** The next events of a feed; or those up to this position are not kept any more. */
export type Feed =
  | { type: "events"; events: FeedEvent[]; position: Position }
  | { type: "gap"; position: Position };

/** The topic can't be had; nothing more comes of it. */
export interface TopicError {
  type: "error";
  code: string;
  message: string;
}

export type Message = Counts | Feed | TopicError;

export interface State {
  name: "connecting" | "live" | "stale" | "reconnecting" | "offline" | "refused";
  /** When it tries again, in milliseconds since 1970. */
  retryAt: number | null;
  restarting: boolean;
}

export interface LiveClient extends Client {
  /** Calls back with each message of a topic. Returns what ends it. */
  live(
    topic: Topic,
    callback: (message: Message) => void,
    onstate?: (state: State) => void,
  ): () => void;
}

/** Starts counting on this page, and can watch with a read key. */
export function start(options: Options & { readKey?: string }): LiveClient;
