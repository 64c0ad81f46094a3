export { chainHash } from "./dlt-chain.ts";
export { type TemplateParts, templateRoutes } from "./routes.ts";
export { ownerKey, type ReadNumber, requireSender, type SenderKind } from "./sender.ts";
export { type Registration, registerSender } from "./senders.ts";
export type { SettingsChange, TenantSettings } from "./settings.ts";
export { saveSettings } from "./settings-store.ts";
export { type IndexKey, type Terms, termsAmong } from "./store.ts";
