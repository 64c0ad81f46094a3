export { type EventRef, eventTypeOf, renderEvents } from "./events.ts";
export {
	type MessagePath,
	type MessagePathParts,
	type RouteRuntime,
	startMessages,
} from "./message-path.ts";
export { type MessageRouteParts, messageRoutes } from "./routes.ts";
export { eventTypes } from "./state.ts";
