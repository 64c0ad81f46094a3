export { type ChannelRouteParts, channelRoutes } from "./route-admin.ts";
export {
	keepRoute,
	type RouteDeclaration,
	readRoutes,
	routesMax,
	type StoredRoute,
} from "./route-record.ts";
export { disableRoute } from "./route-store.ts";
export { type Keyword, readKeyword } from "./sms/keywords.ts";
export { type NumberRead, readNumber } from "./sms/numbers.ts";
export { join, judgePart, referenceNumber } from "./sms/reassemble.ts";
export { candidateIds, isReceipt, type Receipt, readReceipt } from "./sms/receipt.ts";
export {
	type MagicNumber,
	magicNumbers,
	type Sandbox,
	type SandboxAccount,
	startSandbox,
} from "./sms/sandbox/index.ts";
export { type Segmented, segment } from "./sms/segment.ts";
export {
	type Dialect,
	destinationAddress,
	dialects,
	sourceAddress,
} from "./sms/smpp/dialect.ts";
export type { SubmitOutcome } from "./sms/smpp/job.ts";
export type { LateAnswer } from "./sms/smpp/link-state.ts";
export type { DeliverSm } from "./sms/smpp/pdu.ts";
export {
	type BindEvent,
	createSmppPool,
	type Deliver,
	type PoolHandlers,
	type PoolState,
	type SmppPool,
	type SmppRoute,
} from "./sms/smpp/pool.ts";
export { type RouteRead, readRouteUrl } from "./sms/smpp/route-url.ts";
export type { SmsSubmission } from "./sms/smpp/submission.ts";
export { readUserData } from "./sms/user-data.ts";
