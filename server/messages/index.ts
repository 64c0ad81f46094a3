export { type EventRef, eventTypeOf, renderEvents } from "./events.ts";
export { type MessageRouteParts, messageRoutes } from "./routes.ts";
export { type MessageService, type MessageServiceParts, type RouteRuntime, startMessages } from "./service.ts";
export { eventTypes } from "./state.ts";
