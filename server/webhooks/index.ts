export type { EventSource, RenderedEvent } from "./event.ts";
export { type WebhookRouteParts, webhookRoutes } from "./routes.ts";
export { retryDelaysMs } from "./schedule.ts";
export { type StartedWebhooks, startWebhooks, type WebhookParts } from "./start.ts";
