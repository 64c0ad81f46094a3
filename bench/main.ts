/**
 * `npm run bench -- NAME [options]`: each measurement is a file of its name in this folder, and says at its
 * top what it measures and which options it takes.
 */
const names = [
	"sms",
	"kannel",
	"tenants",
	"priority",
	"cold",
	"limit",
	"growth",
	"workers",
	"where",
	"ledger",
	"vault",
] as const;

const [name] = process.argv.slice(2);
if (!names.some((known) => known === name)) {
	process.stderr.write(`usage: npm run bench -- ${names.join("|")} [options]\n`);
	process.exit(2);
}
await import(`./${name}.ts`);
