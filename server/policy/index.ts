export { catalogue, knownRuleSets, type RuleSet, rulesInForce } from "./catalogue.ts";
export {
	type Bound,
	Clearance,
	clearanceValidityMs,
	type Decision,
	type Outcome,
	recall,
	renew,
	type Sealer,
	type Standing,
	type StoredClearance,
	screen,
	stillClear,
} from "./clearance.ts";
export { type ExplainedVerdict, explain } from "./explain.ts";
export {
	type Channel,
	channels,
	classNumber,
	classOfNumber,
	type DltFacts,
	type Facts,
	type MessageClass,
	messageClasses,
	type NarrowedWindow,
} from "./facts.ts";
export type { PromotionalHours } from "./in-trai/promotional-hours.ts";
export { deliverBefore, promotionalHoursAt } from "./in-trai/promotional-window.ts";
export type { Deferral, Moment, Refusal } from "./judge.ts";
export { type Dated, type RefusalCode, type Rule, refusalCodes } from "./rule.ts";
