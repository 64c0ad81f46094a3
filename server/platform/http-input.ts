/**
 * A request's path, query and body against the schemas of its route. Each schema is compiled once.
 * Bodies are taken as they are: nothing is coerced, dropped or filled in. A query string holds only
 * texts, so it is first read as the types its schema asks for. Unknown names are refused everywhere.
 */
import type { TSchema } from "typebox";
import { Compile } from "typebox/compile";
import { Fault, type FaultDetail } from "./errors.ts";
import { explain } from "./http-explain.ts";

/** Returns the value when it fits; throws `Fault` when it does not. */
export type Check = (value: unknown) => unknown;

const nothing: TSchema = { type: "object", additionalProperties: false };

export function bodyCheck(schema: TSchema | undefined): Check {
	// A route without a body still accepts `{}`, which some clients always send.
	if (schema === undefined) {
		const empty = checker(nothing, "");
		return (value) => (value === undefined ? undefined : void empty(value));
	}
	return checker(schema, "");
}

function checker(schema: TSchema, root: string): Check {
	const compiled = Compile(schema);
	return (value) => {
		if (!compiled.Check(value)) throw refused(explain(schema, value, root));
		return value;
	};
}

function refused(details: readonly FaultDetail[]): Fault {
	return Fault.of("validation_failed", {
		message: details[0]?.message ?? "A parameter is not acceptable.",
		details,
	});
}

/** A path that does not fit names nothing: the answer is `not_found`, as for any unknown id. */
export function paramsCheck(schema: TSchema | undefined): Check {
	if (schema === undefined) return () => undefined;
	const compiled = Compile(schema);
	return (value) => {
		if (!compiled.Check(value)) throw Fault.of("not_found");
		return value;
	};
}

interface QueryField {
	readonly name: string;
	readonly type: string;
	readonly list: boolean;
	readonly fallback: unknown;
}

export function queryCheck(schema: TSchema | undefined): Check {
	const fields = fieldsOf(schema ?? nothing);
	const names = new Map(fields.map((field) => [field.name, field]));
	const check = checker(schema ?? nothing, "query");
	return (value) => {
		const given = value as Readonly<Record<string, string | string[]>>;
		const read: Record<string, unknown> = {};
		for (const name in given) {
			const field = names.get(name);
			if (field === undefined) throw refused([unknownParameter(name)]);
			read[name] = readField(field, given[name] ?? "");
		}
		for (const { name, fallback } of fields)
			if (fallback !== undefined && read[name] === undefined) read[name] = fallback;
		const checked = check(read);
		return schema === undefined ? undefined : checked;
	};
}

function unknownParameter(name: string): FaultDetail {
	const param = `query.${name.slice(0, 64)}`;
	return { param, message: `${param} is not a known parameter` };
}

interface PropertySchema {
	readonly type?: string;
	readonly default?: unknown;
	readonly items?: PropertySchema;
	readonly anyOf?: readonly PropertySchema[];
}

function fieldsOf(schema: TSchema): QueryField[] {
	const { properties = {} } = schema as { properties?: Record<string, PropertySchema> };
	return Object.entries(properties).map(([name, property]) => {
		const list = property.type === "array";
		const type = typeOf(list ? property.items : property);
		return { name, type, list, fallback: property.default };
	});
}

function typeOf(property: PropertySchema | undefined): string {
	return property?.type ?? property?.anyOf?.[0]?.type ?? "string";
}

function readField({ name, type, list }: QueryField, given: string | string[]): unknown {
	if (list) return (Array.isArray(given) ? given : [given]).map((one) => readValue(type, one));
	if (!Array.isArray(given)) return readValue(type, given);
	const param = `query.${name}`;
	throw refused([{ param, message: `${param} must be given once` }]);
}

/** A text that does not read as its type stays a text, and the schema then refuses it by name. */
function readValue(type: string, text: string): unknown {
	if (type === "integer") return /^-?\d{1,15}$/.test(text) ? Number(text) : text;
	if (type === "number") return /^-?\d{1,15}(\.\d{1,15})?$/.test(text) ? Number(text) : text;
	if (type === "boolean") return text === "true" ? true : text === "false" ? false : text;
	return text;
}
