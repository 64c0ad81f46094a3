import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { catalogue, knownRuleSets, rulesInForce } from "./catalogue.ts";
import { endOf, pass, type Rule, startOf } from "./rule.ts";
import { ruleSets } from "./rulesets.ts";
import { noonInIndia } from "./sample-facts.ts";

const golden = new URL("../../tests/golden/rules.txt", import.meta.url);

test("the golden list is the catalogue", () => {
	const lines = catalogue.map(lineOf).join("");
	assert.equal(
		readFileSync(golden, "utf8"),
		lines,
		`tests/golden/rules.txt should read:\n${lines}`,
	);
});

function lineOf(rule: Rule): string {
	const term = (from: string, until: string | undefined) => `${from} to ${until ?? "now"}`;
	const columns = [
		`${rule.id}@${rule.version}`,
		term(rule.inForce.from, rule.inForce.until),
		rule.judgedAt,
		rule.classes?.join(",") ?? "every class",
		rule.cites.join("; "),
	];
	const values = (rule.values ?? []).map(
		(dated) =>
			`  ${term(dated.from, dated.until)} | ${JSON.stringify(dated.value)} | ${dated.cites.join("; ")}\n`,
	);
	return `${columns.join(" | ")}\n${values.join("")}`;
}

test("every rule's file is in the catalogue, and tested", () => {
	const here = new URL("./", import.meta.url);
	const sources = ["house", "in-dlt", "in-trai"];
	const files = sources.flatMap((source) =>
		readdirSync(new URL(source, here)).map((name) => `${source}/${name}`),
	);
	for (const { id } of catalogue) assert.ok(files.includes(`${id}.test.ts`), `${id} has no test`);
	const listed = new Set(catalogue.map(({ id }) => `${id}.ts`));
	const rules = files.filter((name) => !name.endsWith(".test.ts") && isRule(new URL(name, here)));
	assert.deepEqual(
		rules.filter((name) => !listed.has(name)),
		[],
	);
	for (const { id } of catalogue)
		assert.match(
			readFileSync(new URL(`${id}.test.ts`, here), "utf8"),
			/^exerciseRule\(/m,
			`${id} does not run the conformance suite`,
		);
});

function isRule(file: URL): boolean {
	return /: Rule = \{/.test(readFileSync(file, "utf8"));
}

test("ids are unique and a set's verdicts fit their column", () => {
	assert.equal(new Set(catalogue.map(({ id }) => id)).size, catalogue.length);
	for (const set of knownRuleSets()) assert.ok(set.rules.length > 0 && set.rules.length <= 64);
});

test("every rule set is on the append-only list", () => {
	for (const { id, rules } of knownRuleSets()) {
		const versioned = rules.map((rule) => `${rule.id}@${rule.version}`);
		const line = `"${id}": ${JSON.stringify(versioned)},`;
		assert.deepEqual(ruleSets[id], versioned, `add to policy/rulesets.ts: ${line}`);
	}
});

test("every listed rule set can still be read", () => {
	for (const [id, rules] of Object.entries(ruleSets)) {
		assert.match(id, /^r-[0-9a-f]{16}$/);
		for (const versioned of rules)
			assert.ok(
				catalogue.some((rule) => versioned.startsWith(`${rule.id}@`)),
				versioned,
			);
	}
});

const dated = (from: string, until?: string): Rule => ({
	...(catalogue[0] as Rule),
	id: `house/from-${from}`,
	inForce: until === undefined ? { from } : { from, until },
	judge: () => pass,
});

test("a rule holds from its first moment to the last before its end", () => {
	const rule = dated("2026-03-01", "2026-04-01");
	const held = (time: string) => rulesInForce(Date.parse(time), [rule]).rules.length === 1;
	assert.equal(held("2026-02-28T23:59:59.999Z"), false);
	assert.equal(held("2026-03-01T00:00:00.000Z"), true);
	assert.equal(held("2026-03-31T23:59:59.999Z"), true);
	assert.equal(held("2026-04-01T00:00:00.000Z"), false);
	assert.equal(endOf(dated("2026-03-01").inForce), Number.POSITIVE_INFINITY);
});

test("a set's id names its rules, versions and values", () => {
	const a = dated("2020-01-01");
	const id = (list: readonly Rule[]) => rulesInForce(noonInIndia, list).id;
	const value = (minutes: number): Rule => ({
		...a,
		values: [{ from: "2020-01-01", value: { minutes }, cites: ["x"] }],
	});
	const ids = [id([]), id([a]), id([{ ...a, version: 2 }]), id([value(1)]), id([value(2)])];
	assert.equal(new Set(ids).size, ids.length);
	assert.equal(id([a]), id([{ ...a }]));
	for (const each of ids) assert.match(each, /^[0-9a-z-]{1,40}$/);
});

test("the memoised sets are those computed at any moment of their period", () => {
	const edges = catalogue.flatMap(({ inForce }) => [startOf(inForce), endOf(inForce)]);
	for (const edge of [...edges, noonInIndia].filter(Number.isFinite))
		for (const at of [edge - 1, edge, edge + 1])
			assert.equal(rulesInForce(at).id, rulesInForce(at, catalogue).id);
	assert.deepEqual(rulesInForce(Number.NaN).rules, []);
	assert.deepEqual(rulesInForce(-1).rules, []);
});
