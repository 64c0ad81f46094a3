/**
 * What a tenant may decide for itself, inside the law: countries opened, its own hours for promotion,
 * what happens outside them, and its registration in India. A wish that goes beyond the law is refused
 * with the citation, not clamped in silence; the rules clamp again whatever is stored.
 */
import { getCountries } from "libphonenumber-js/min";
import { Fault } from "#platform/errors.ts";
import { promotionalHoursAt } from "#policy/index.ts";

export interface TenantSettings {
	/** ISO 3166-1 alpha-2, upper case, sorted. */
	readonly countries: readonly string[];
	/** India, minutes after local midnight; null is the law's own bound. */
	readonly promotionalFrom: number | null;
	readonly promotionalUntil: number | null;
	readonly outsideWindow: "defer" | "refuse";
	/** 19 digits. */
	readonly dltEntityId: string | null;
	/** From the first to the one that delivers. */
	readonly dltTelemarketers: readonly string[];
}

export const defaultSettings: TenantSettings = Object.freeze({
	countries: [],
	promotionalFrom: null,
	promotionalUntil: null,
	outsideWindow: "defer",
	dltEntityId: null,
	dltTelemarketers: [],
});

/** What a PATCH may say; what it leaves out stays. */
export interface SettingsChange {
	readonly countries?: readonly string[];
	/** `HH:MM` in Indian time; null is the law's own bound. */
	readonly promotional_window?: { readonly from?: string | null; readonly until?: string | null };
	readonly outside_window?: "defer" | "refuse";
	readonly dlt?: {
		readonly entity_id?: string | null;
		readonly telemarketers?: readonly string[];
	};
}

const knownCountries: ReadonlySet<string> = new Set(getCountries());
/** Principal entity, aggregator, delivering telemarketer: no longer chain is approved in India. */
const telemarketersMax = 2;

/** The settings after the change; throws `validation_failed` naming what is wrong and why. */
export function changeSettings(
	current: TenantSettings,
	change: SettingsChange,
	nowMs: number,
): TenantSettings {
	const { promotional_window: hours, dlt } = change;
	const changed = {
		countries: readCountries(change.countries) ?? current.countries,
		promotionalFrom: readTime("from", hours?.from, current.promotionalFrom),
		promotionalUntil: readTime("until", hours?.until, current.promotionalUntil),
		outsideWindow: change.outside_window ?? current.outsideWindow,
		dltEntityId: readEntity(dlt?.entity_id, current.dltEntityId),
		dltTelemarketers: readTelemarketers(dlt?.telemarketers) ?? current.dltTelemarketers,
	};
	if (hours !== undefined) refuseWidening(changed, nowMs);
	return changed;
}

function readCountries(codes: readonly string[] | undefined): readonly string[] | undefined {
	for (const [i, code] of (codes ?? []).entries())
		if (!knownCountries.has(code))
			throw Fault.parameter(
				`countries[${i}]`,
				`countries[${i}] must be a country code of ISO 3166-1, such as IN`,
			);
	return codes === undefined ? undefined : [...new Set(codes)].sort();
}

function readTime(
	name: string,
	text: string | null | undefined,
	current: number | null,
): number | null {
	if (text === undefined) return current;
	if (text === null) return null;
	if (/^([01][0-9]|2[0-3]):[0-5][0-9]$/.test(text))
		return Number(text.slice(0, 2)) * 60 + Number(text.slice(3));
	const param = `promotional_window.${name}`;
	throw Fault.parameter(param, `${param} must be a time of day such as 10:30`);
}

/** `HH:MM` of minutes after midnight. */
export function showTime(minutes: number): string {
	const two = (number: number) => String(number).padStart(2, "0");
	return `${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
}

/** TCCCPR 2018: a tenant may narrow the hours, never widen them. */
function refuseWidening(
	{ promotionalFrom, promotionalUntil }: TenantSettings,
	nowMs: number,
): void {
	const law = promotionalHoursAt(nowMs);
	// Unknown means no: without the law's hours there is nothing to lie inside.
	if (law === undefined) throw Fault.of("conflict", { message: "The law's hours are not known." });
	const { fromMinute, untilMinute, guardMinutes } = law.value;
	const from = promotionalFrom ?? fromMinute;
	const until = promotionalUntil ?? untilMinute;
	const citation = `(${law.cites.join("; ")})`;
	if (from < fromMinute)
		throw Fault.parameter(
			"promotional_window.from",
			`promotional_window.from may be ${showTime(fromMinute)} or later: a tenant may narrow the hours, never widen them ${citation}`,
		);
	if (until > untilMinute)
		throw Fault.parameter(
			"promotional_window.until",
			`promotional_window.until may be ${showTime(untilMinute)} or earlier: a tenant may narrow the hours, never widen them ${citation}`,
		);
	const lastDispatch = Math.min(until, untilMinute - guardMinutes);
	if (from >= lastDispatch)
		throw Fault.parameter(
			"promotional_window.until",
			`promotional_window leaves no time: it must begin before it ends, and before ${showTime(untilMinute - guardMinutes)}, when dispatch stops so that messages arrive in time`,
		);
}

function readEntity(id: string | null | undefined, current: string | null): string | null {
	if (id === undefined) return current;
	if (id === null || /^[0-9]{19}$/.test(id)) return id;
	throw Fault.parameter("dlt.entity_id", "dlt.entity_id must be 19 digits");
}

function readTelemarketers(ids: readonly string[] | undefined): readonly string[] | undefined {
	if (ids === undefined) return undefined;
	if (ids.length > telemarketersMax)
		throw Fault.parameter(
			"dlt.telemarketers",
			`dlt.telemarketers may name at most ${telemarketersMax}: longer chains are not approved`,
		);
	for (const [i, id] of ids.entries()) {
		const param = `dlt.telemarketers[${i}]`;
		if (!/^[0-9]{12,19}$/.test(id))
			throw Fault.parameter(param, `${param} must be 12 to 19 digits`);
		if (ids.indexOf(id) !== i) throw Fault.parameter(param, `${param} is named twice`);
	}
	return [...ids];
}
