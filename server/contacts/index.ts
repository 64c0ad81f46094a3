export type { ReadNumber } from "./address.ts";
export { type ErasureRouteParts, erasureRoutes } from "./erasure-routes.ts";
export { type Grant, recordGrants } from "./grant.ts";
export { type Reindexing, startReindexing } from "./reindex.ts";
export { type ContactParts, contactRoutes } from "./routes.ts";
export {
	type AddressKey,
	consentAmong,
	type EndedSuppression,
	factKey,
	type IndexKey,
	suppressedAmong,
} from "./store.ts";
export { type Keyword, recordStarts, recordStops } from "./suppression.ts";
