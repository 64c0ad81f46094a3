/**
 * Every rule set that has ever judged a message: its id, and its rules with their versions in the
 * order of their verdicts. Append-only: a stored decision names its set and is read with this list.
 * `catalogue.test.ts` fails until the set of a changed catalogue is added here, and prints the line.
 */
export const ruleSets: Readonly<Record<string, readonly string[]>> = {
	"r-76df427931bee12b": [
		"house/facts-complete@1",
		"house/suppression@1",
		"house/sender-registered@1",
		"house/destination-country@1",
		"house/promotional-consent@1",
	],
	"r-267ff5c5ea789107": [
		"house/facts-complete@1",
		"house/suppression@1",
		"house/sender-registered@1",
		"house/destination-country@1",
		"house/promotional-consent@1",
		"in-trai/promotional-window@1",
		"in-dlt/principal-entity@1",
		"in-dlt/template-id@1",
	],
};
