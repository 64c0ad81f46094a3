export { type Accepting, startAccepting } from "./accepting.ts";
export type { ToAccepting, ToSending } from "./channel.ts";
export { type EventRef, eventTypeOf, renderEvents } from "./events.ts";
export type { RouteEntry } from "./router.ts";
export { type MessageRouteParts, messageRoutes } from "./routes.ts";
export { type RouteRuntime, type Sending, startSending } from "./sending.ts";
export { eventTypes } from "./state.ts";
export { messageReader } from "./stored-facts-store.ts";
