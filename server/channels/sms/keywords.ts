/**
 * What a person's reply asks for: to be left alone, to be written to again, or help. STOP is read
 * generously and START narrowly: when unsure, nothing more is sent (a person can always START again).
 * Built-in words cannot be taken away, only added to. CTIA Messaging Principles §5.1.3, the carriers'
 * required keywords, 47 CFR 64.1200(a)(10) (free-text revocation); languages checked 2026-09.
 */

export type Keyword = "stop" | "start" | "help";

export interface KeywordOptions {
	/** A question of ours that YES answers is open for this person: then YES is `start`. */
	readonly promptPending?: boolean;
	/** A tenant's own words, exact matches, besides the built-in ones. */
	readonly additions?: Readonly<Partial<Record<Keyword, readonly string[]>>>;
}

/** Exact matches, by language; written as people do, compared after `plain`. */
export const stopWords: Readonly<Record<string, readonly string[]>> = {
	required: ["STOP", "STOPALL", "STOP ALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE"],
	alsoRequired: ["OPTOUT", "OPT-OUT", "REMOVE", "TD", "ARRET", "ARRÊT"],
	ar: ["توقف", "إيقاف", "الغاء", "إلغاء", "إلغاء الاشتراك"],
	bn: ["বন্ধ", "বন্ধ করুন", "থামুন"],
	de: ["STOPP", "ABMELDEN", "ABBESTELLEN", "AUSTRAGEN", "ENDE"],
	es: ["ALTO", "BAJA", "PARAR", "CANCELAR", "DETENER", "DARSE DE BAJA"],
	fr: ["ARRETER", "ARRÊTER", "DESABONNER", "DÉSABONNER", "DESINSCRIRE", "DÉSINSCRIRE"],
	gu: ["બંધ", "બંધ કરો", "રોકો"],
	hi: ["बंद", "बन्द", "बंद करो", "बंद करें", "रोकें", "रोको", "रुको", "BAND", "BAND KARO", "ROKO"],
	id: ["BERHENTI", "UNREG"],
	it: ["FERMA", "BASTA", "ANNULLA", "CANCELLA", "DISISCRIVI"],
	ja: ["停止", "配信停止", "ストップ", "解除"],
	kn: ["ನಿಲ್ಲಿಸಿ", "ನಿಲ್ಲಿಸು"],
	ml: ["നിർത്തുക", "നിർത്തൂ"],
	mr: ["थांबवा", "थांबा", "बंद करा"],
	nl: ["AFMELDEN", "UITSCHRIJVEN", "STOPPEN"],
	pa: ["ਬੰਦ", "ਬੰਦ ਕਰੋ", "ਰੋਕੋ"],
	pl: ["WYPISZ", "REZYGNUJE", "REZYGNUJĘ", "ANULUJ"],
	pt: ["SAIR", "PARE", "REMOVER", "DESCADASTRAR"],
	ru: ["СТОП", "ОТПИСАТЬСЯ", "ОТПИСКА", "ОТМЕНА"],
	ta: ["நிறுத்து", "நிறுத்தவும்"],
	te: ["ఆపు", "ఆపండి", "నిలిపివేయండి"],
	tr: ["DUR", "DURDUR", "İPTAL", "IPTAL", "RET"],
	ur: ["بند", "بند کریں", "روکیں"],
	vi: ["DỪNG", "HỦY", "HUY", "TUCHOI"],
	zh: ["退订", "退訂", "停止", "取消", "取消订阅"],
};

/** START only ever matches exactly: written by mistake it would send what was refused. */
export const startWords: Readonly<Record<string, readonly string[]>> = {
	required: ["START", "UNSTOP", "SUBSCRIBE", "JOIN"],
	de: ["STARTEN", "ANMELDEN"],
	es: ["INICIAR", "ALTA", "COMENZAR", "SUSCRIBIR"],
	fr: ["COMMENCER", "ABONNER", "REPRENDRE"],
	hi: ["शुरू", "शुरू करें", "चालू करें"],
	pt: ["INICIAR", "COMEÇAR", "INSCREVER"],
};

/** Answers to an open question only (`promptPending`). */
const yesWords = ["YES", "Y", "SI", "SÍ", "SIM", "OUI", "JA", "हाँ", "हां"];

export const helpWords: Readonly<Record<string, readonly string[]>> = {
	required: ["HELP", "INFO", "AIDE"],
	de: ["HILFE"],
	es: ["AYUDA"],
	hi: ["मदद", "सहायता"],
	pt: ["AJUDA"],
};

/**
 * Words that mean stopping also inside a sentence. END, TD and words that are common for other things
 * (ALTO, BAJA, ENDE, RET, DUR, INFO) are left to the exact match.
 */
const stopTokens = [
	["STOP", "STOPP", "STOPALL", "UNSUBSCRIBE", "UNSUBSCRIBED", "OPTOUT", "OPT OUT", "REVOKE"],
	["CANCEL", "QUIT", "REMOVE", "STOPPING", "ARRET", "ARRETER", "ARRETEZ", "DESABONNER"],
	["ABMELDEN", "PARAR", "PAREN", "PAREM", "SAIR", "CANCELAR", "DESCADASTRAR", "DO NOT TEXT"],
	["DONT TEXT", "DO NOT MESSAGE", "DONT MESSAGE", "DO NOT CONTACT", "DONT CONTACT"],
	["LEAVE ME ALONE", "TAKE ME OFF", "СТОП", "ОТПИСАТЬСЯ", "बंद", "बन्द", "रोकें", "रोको", "থামুন"],
	["বন্ধ", "બંધ", "ਬੰਦ", "بند", "توقف", "थांबवा", "நிறுத்து", "ఆపండి", "ನಿಲ್ಲಿಸಿ"],
].flat();

/** Longer sentences are a conversation, unless they begin with the word. */
const wordsMax = 6;
/** Words of politeness that may stand before it. */
const politeness = new Set([
	"please",
	"pls",
	"plz",
	"kindly",
	"just",
	"por",
	"favor",
	"bitte",
	"svp",
]);
/** The longest text that is read at all: the rest of a long message cannot be a keyword. */
const charactersMax = 2_000;

/**
 * Small letters without accents, punctuation, symbols and invisible characters; single spaces. Only
 * Latin, Greek and Cyrillic accents go: the vowel signs of Indic scripts are letters.
 */
function plain(text: string): string {
	return text
		.trim()
		.slice(0, charactersMax)
		.normalize("NFKD")
		.replace(/[\u0300-\u036f\p{Cf}\ufe0f'’]/gu, "")
		.normalize("NFC")
		.toLowerCase()
		.replace(/[\p{P}\p{S}\p{Z}\p{Cc}]+/gu, " ")
		.trim();
}

function wordSet(...lists: (readonly string[])[]): ReadonlySet<string> {
	return new Set(lists.flat().map(plain));
}

const stops = wordSet(...Object.values(stopWords));
const starts = wordSet(...Object.values(startWords));
const helps = wordSet(...Object.values(helpWords));
const yeses = wordSet(yesWords);
const tokens = [...wordSet(stopTokens)].map((token) => ` ${token} `);

/**
 * Classifies an inbound text; undefined when it is none of these. `stop` wins over everything: an
 * addition of a tenant cannot turn a built-in STOP word into something else.
 */
export function readKeyword(text: string, options: KeywordOptions = {}): Keyword | undefined {
	const said = plain(text);
	if (said === "") return undefined;
	const added = (keyword: Keyword): boolean =>
		options.additions?.[keyword]?.some((word) => plain(word) === said) ?? false;
	if (stops.has(said) || added("stop")) return "stop";
	if (starts.has(said) || added("start")) return "start";
	if (options.promptPending === true && yeses.has(said)) return "start";
	if (helps.has(said) || added("help")) return "help";
	return asksToStop(said) ? "stop" : undefined;
}

function asksToStop(said: string): boolean {
	const words = said.split(" ");
	if (words.length <= wordsMax) return tokens.some((token) => ` ${said} `.includes(token));
	const first = words.findIndex((word) => !politeness.has(word));
	if (first < 0 || first > 2) return false;
	const opening = ` ${words.slice(first, first + 3).join(" ")} `;
	return tokens.some((token) => opening.startsWith(token));
}
