/**
 * The closed catalogue of what the ledger records. An entry's `action` is one of these; tests/golden lists
 * them. `privileged` acts stop when the signer has been away too long; `critical` ones, which nothing can undo, begin
 * only under a signed checkpoint; `data` names the facts, besides ids and outcome, that stand in the clear in the
 * entry: counts, hashes and names of ours, never what a caller wrote.
 */

export interface EventType {
	/** Whose log: of the tenant that acts, or the platform's. An operator's acts are the platform's. */
	readonly log: "tenant" | "platform";
	/** Refused, besides when the entry cannot be written, when no checkpoint was signed for ten minutes. */
	readonly privileged: boolean;
	/** Announced by an entry `intent`; it begins when a signed checkpoint covers that entry, or not at all. */
	readonly critical?: true;
	readonly says: string;
	readonly data: Readonly<Record<string, DataKind>>;
}

/** Whole number; lower-case hexadecimal; an id as shown; a name of ours. */
export type DataKind = "count" | "hex" | "id" | "name";

const none = {};

function tenant(says: string, data: EventType["data"] = none): EventType {
	return { log: "tenant", privileged: false, says, data };
}

function privileged(says: string): EventType {
	return { log: "tenant", privileged: true, says, data: none };
}

/** What nothing can undo: a key destroyed, what was read out and given away. */
function critical(type: EventType) {
	return { ...type, critical: true } as const;
}

function operator(says: string): EventType {
	return { log: "platform", privileged: true, says, data: none };
}

function system(says: string, data: EventType["data"] = none): EventType {
	return { log: "platform", privileged: false, says, data };
}

export const eventTypes = {
	"api_key.created": privileged("An API key was created."),
	"api_key.revoked": privileged("An API key was revoked."),
	"ledger.exported": critical(privileged("Entries of the ledger were exported.")),
	"permission.denied": tenant("A key asked for what it may not do.", { route: "name" }),
	"sender.registered": tenant("A sender identity was registered."),
	"sender.deleted": tenant("A sender identity was deleted."),
	"settings.changed": tenant("The tenant's settings were changed."),
	"consent.recorded": tenant("A statement of consent was recorded."),
	"contact.erased": critical(privileged("A person's key was destroyed.")),
	"suppression.added": tenant("A person was suppressed."),
	"suppression.ended": tenant("A suppression was ended."),
	"webhook.created": tenant("A webhook endpoint was created."),
	"webhook.changed": tenant("A webhook endpoint was changed."),
	"webhook.deleted": tenant("A webhook endpoint was deleted."),
	"webhook.secret_rotated": tenant("A webhook endpoint's secret was replaced."),
	"webhook.tested": tenant("A trial event was sent."),
	"message.canceled": tenant("A message was canceled."),
	"messages.accepted": tenant("Messages were stored: a digest of them.", {
		count: "count",
		digests: "count",
		first: "id",
		last: "id",
		root: "hex",
	}),
	"tenant.created": operator("A tenant was created."),
	"tenant.suspended": operator("A tenant was suspended."),
	"tenant.resumed": operator("A tenant was resumed."),
	"tenants.read": operator("The list of tenants was read."),
	"operator_key.created": operator("An operator's key was created."),
	"carrier_route.added": operator("A carrier route was added."),
	"carrier_route.disabled": operator("A carrier route was disabled."),
	"carrier_routes.read": operator("The carrier routes were read."),
	"keys.read": operator("The state of the keys was read."),
	"keys.rotation_asked": operator("The rotation of a key was asked for."),
	"keys.destruction_asked": critical(operator("The destruction of a root key was asked for.")),
	"platform_ledger.exported": critical(operator("Entries of the platform's log were exported.")),
	"authentication.failed": system("A caller could not prove who it is.", {
		why: "name",
		source: "hex",
	}),
	"authentication.failures": system("Failures beyond what is recorded one by one, counted.", {
		count: "count",
		seconds: "count",
	}),
	"control.failed": system("A check of the platform found what must not be.", {
		control: "name",
		why: "name",
	}),
	"platform.started": system("The platform started."),
	"platform.stopped": system("The platform stopped."),
	"database.migrated": system("A migration was applied.", { migration: "name" }),
	"ledger.checkpoint": system("A tenant's log was signed.", {
		origin: "name",
		size: "count",
		root: "hex",
	}),
	"ledger.forked": system("A log was begun anew after the database had lost what was signed.", {
		origin: "name",
		signed_size: "count",
		signed_root: "hex",
		found_size: "count",
		found_root: "hex",
	}),
} as const satisfies Record<string, EventType>;

export type EventName = keyof typeof eventTypes;

export function isEventName(name: string): name is EventName {
	return Object.hasOwn(eventTypes, name);
}
