/**
 * Says in readable words why a value does not fit a schema: one sentence per parameter, named as the
 * caller wrote it (`messages[3].text`). Runs only after a check has failed, so it may be slow, but it
 * stops at ten details. It never quotes the value: values may be personal.
 *
 * A schema may carry its own sentence under `x-rule` ("must be an E.164 number, …"), which then takes
 * the place of ours for its pattern and format.
 */
import type { TSchema } from "typebox";
import Format from "typebox/format";
import type { FaultDetail } from "./errors.ts";
import { canonicalJson } from "./http-json.ts";

const detailsMax = 10;

/** The keywords of JSON Schema that this file knows how to explain. */
interface Keywords {
	readonly type?: string;
	readonly const?: unknown;
	readonly enum?: readonly unknown[];
	readonly anyOf?: readonly Keywords[];
	readonly properties?: Readonly<Record<string, Keywords>>;
	readonly patternProperties?: Readonly<Record<string, Keywords>>;
	readonly additionalProperties?: boolean | Keywords;
	readonly required?: readonly string[];
	readonly minProperties?: number;
	readonly maxProperties?: number;
	readonly items?: Keywords;
	readonly minItems?: number;
	readonly maxItems?: number;
	readonly uniqueItems?: boolean;
	readonly minLength?: number;
	readonly maxLength?: number;
	readonly pattern?: string;
	readonly format?: string;
	readonly minimum?: number;
	readonly maximum?: number;
	readonly exclusiveMinimum?: number;
	readonly exclusiveMaximum?: number;
	readonly multipleOf?: number;
	readonly "x-rule"?: string;
}

/** Explains `value` against `schema`; `root` prefixes names (`query` → `query.limit`), "" for bodies. */
export function explain(schema: TSchema, value: unknown, root: string): FaultDetail[] {
	const details: FaultDetail[] = [];
	walk(schema, value, root, details);
	if (details.length === 0) say(details, root, "is not acceptable");
	return details.slice(0, detailsMax);
}

function say(details: FaultDetail[], at: string, what: string): void {
	const param = at === "" ? "body" : at;
	details.push({ param, message: `${param} ${what}` });
}

function walk(schema: Keywords, value: unknown, at: string, details: FaultDetail[]): void {
	if (details.length >= detailsMax) return;
	if (schema.anyOf !== undefined) return walkChoice(schema, schema.anyOf, value, at, details);
	const allowed = allowedValues(schema);
	if (allowed !== undefined) {
		if (!allowed.includes(value)) say(details, at, oneOf(allowed));
		return;
	}
	const type = schema.type;
	if (type !== undefined && !hasType(type, value)) {
		say(details, at, `must be ${typeName(type)}`);
		return;
	}
	if (typeof value === "string") walkText(schema, value, at, details);
	else if (typeof value === "number") walkNumber(schema, value, at, details);
	else if (Array.isArray(value)) walkList(schema, value, at, details);
	else if (typeof value === "object" && value !== null) walkObject(schema, value, at, details);
}

/** A choice between constants lists them; otherwise the branch the caller seems to mean is explained. */
function walkChoice(
	schema: Keywords,
	branches: readonly Keywords[],
	value: unknown,
	at: string,
	details: FaultDetail[],
): void {
	const constants = branches.map(allowedValues);
	if (constants.every((one) => one !== undefined)) {
		const allowed = constants.flat();
		if (!allowed.includes(value)) say(details, at, oneOf(allowed));
		return;
	}
	const meant = branches.filter((branch) => seemsMeant(branch, value));
	let fewest: FaultDetail[] | undefined;
	for (const branch of meant) {
		const tried: FaultDetail[] = [];
		walk(branch, value, at, tried);
		if (tried.length === 0) return;
		if (fewest === undefined || tried.length < fewest.length) fewest = tried;
	}
	if (fewest !== undefined) details.push(...fewest);
	else say(details, at, schema["x-rule"] ?? formsOf(branches));
}

/** A branch of the right type, whose constant fields (a discriminator) have the value's. */
function seemsMeant(branch: Keywords, value: unknown): boolean {
	if (branch.type === undefined || !hasType(branch.type, value)) return false;
	if (branch.const !== undefined && branch.const !== value) return false;
	if (typeof value !== "object" || value === null || branch.properties === undefined) return true;
	return Object.entries(branch.properties).every(
		([name, { const: constant }]) =>
			constant === undefined || (value as Record<string, unknown>)[name] === constant,
	);
}

function formsOf(branches: readonly Keywords[]): string {
	const names = new Set(branches.map(branchName));
	if (names.size < branches.length) return "has none of the forms it may have";
	return `must be ${[...names].join(" or ")}`;
}

function branchName(branch: Keywords): string {
	const allowed = allowedValues(branch);
	if (allowed !== undefined) return allowed.map((one) => JSON.stringify(one)).join(" or ");
	return typeName(branch.type ?? "value");
}

function allowedValues(schema: Keywords): readonly unknown[] | undefined {
	if (schema.const !== undefined) return [schema.const];
	return schema.enum;
}

function oneOf(allowed: readonly unknown[]): string {
	const names = allowed.map((one) => (typeof one === "string" ? one : JSON.stringify(one)));
	return names.length === 1 ? `must be ${names[0]}` : `must be one of ${names.join(", ")}`;
}

function hasType(type: string, value: unknown): boolean {
	if (type === "integer") return Number.isInteger(value);
	if (type === "number") return Number.isFinite(value);
	if (type === "array") return Array.isArray(value);
	if (type === "null") return value === null;
	if (type === "object")
		return typeof value === "object" && value !== null && !Array.isArray(value);
	return typeof value === type;
}

const typeNames: Readonly<Record<string, string>> = {
	string: "a text",
	integer: "a whole number",
	number: "a number",
	boolean: "true or false",
	array: "a list",
	object: "an object",
	null: "null",
};

function typeName(type: string): string {
	return typeNames[type] ?? type;
}

const formats: Readonly<Record<string, string>> = {
	"date-time": "must be a time such as 2026-01-31T09:00:00Z",
	date: "must be a date such as 2026-01-31",
	uri: "must be an absolute URL",
	url: "must be an absolute URL",
	email: "must be an email address",
	uuid: "must be a UUID",
};

function walkText(schema: Keywords, value: string, at: string, details: FaultDetail[]): void {
	const { minLength = 0, maxLength = Number.POSITIVE_INFINITY, pattern, format } = schema;
	const length = [...value].length;
	if (length < minLength)
		say(
			details,
			at,
			minLength === 1 ? "must not be empty" : `must have ${minLength} characters or more`,
		);
	else if (length > maxLength) say(details, at, `must have ${maxLength} characters or fewer`);
	else if (pattern !== undefined && !new RegExp(pattern, "u").test(value))
		say(details, at, schema["x-rule"] ?? `must match the pattern ${pattern}`);
	else if (format !== undefined && !Format.Test(format, value))
		say(details, at, schema["x-rule"] ?? formats[format] ?? `must have the format ${format}`);
}

function walkNumber(schema: Keywords, value: number, at: string, details: FaultDetail[]): void {
	const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf } = schema;
	if (minimum !== undefined && value < minimum) say(details, at, `must be ${minimum} or more`);
	else if (maximum !== undefined && value > maximum) say(details, at, `must be ${maximum} or less`);
	else if (exclusiveMinimum !== undefined && value <= exclusiveMinimum)
		say(details, at, `must be more than ${exclusiveMinimum}`);
	else if (exclusiveMaximum !== undefined && value >= exclusiveMaximum)
		say(details, at, `must be less than ${exclusiveMaximum}`);
	else if (multipleOf !== undefined && value % multipleOf !== 0)
		say(details, at, `must be a multiple of ${multipleOf}`);
}

function walkList(
	schema: Keywords,
	value: readonly unknown[],
	at: string,
	details: FaultDetail[],
): void {
	const { items, minItems = 0, maxItems = Number.POSITIVE_INFINITY, uniqueItems } = schema;
	if (value.length < minItems) say(details, at, `must have ${minItems} or more items`);
	if (value.length > maxItems) return say(details, at, `must have ${maxItems} or fewer items`);
	if (uniqueItems === true && new Set(value.map(canonicalJson)).size < value.length)
		say(details, at, "must not have the same item twice");
	if (items === undefined) return;
	for (const [index, item] of value.entries()) {
		if (details.length >= detailsMax) return;
		walk(items, item, `${at}[${index}]`, details);
	}
}

function walkObject(schema: Keywords, value: object, at: string, details: FaultDetail[]): void {
	const { properties = {}, required = [], minProperties = 0 } = schema;
	const keys = Object.keys(value);
	if (keys.length > (schema.maxProperties ?? Number.POSITIVE_INFINITY))
		return say(details, at, `must have ${schema.maxProperties} fields or fewer`);
	for (const name of required)
		if (!Object.hasOwn(value, name)) say(details, inside(at, name), "is required");
	if (keys.length < minProperties) say(details, at, `must have ${minProperties} fields or more`);
	for (const key of keys) {
		if (details.length >= detailsMax) return;
		const inner = Object.hasOwn(properties, key) ? properties[key] : otherField(schema, key);
		const name = inside(at, key.length > 64 ? `${key.slice(0, 64)}…` : key);
		if (inner === false) say(details, name, "is not a known parameter");
		else if (inner !== undefined && inner !== true)
			walk(inner, (value as Record<string, unknown>)[key], name, details);
	}
}

/** What a schema says of a field it does not list: another schema, anything (true) or nothing (false). */
function otherField(schema: Keywords, key: string): Keywords | boolean | undefined {
	for (const [pattern, inner] of Object.entries(schema.patternProperties ?? {}))
		if (new RegExp(pattern, "u").test(key)) return inner;
	return schema.additionalProperties;
}

function inside(at: string, name: string): string {
	return at === "" ? name : `${at}.${name}`;
}
