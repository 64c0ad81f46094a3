/**
 * Where a sealed value belongs. Every field is bound into the seal, so that a ciphertext carried to another
 * tenant, environment, table, column or row does not open.
 */
import { VaultError } from "./vault-error.ts";

export interface Place {
	readonly tenantId: string;
	readonly environment: string;
	/** Table and column as the schema names them. */
	readonly table: string;
	readonly column: string;
	/** The row's uuid, as text. */
	readonly row: string;
}

/** A place outside every tenant: the platform's own configuration. */
export type PlatformPlace = Omit<Place, "tenantId">;

const lengthMax = 64;
const bytesPerUnitMax = 3;
const scratch = Buffer.alloc(1 + 5 * (1 + lengthMax * bytesPerUnitMax));

/**
 * Additional data for the seal: format ‖ environment ‖ tenant ‖ table ‖ column ‖ row, each text UTF-8 behind
 * its length. The bytes are valid until the next call: they are a view of one scratch buffer.
 */
export function bindPlace(format: number, tenantId: string, place: PlatformPlace): Buffer {
	scratch[0] = format;
	let end = write(1, place.environment);
	end = write(end, tenantId);
	end = write(end, place.table);
	end = write(end, place.column);
	end = write(end, place.row);
	return scratch.subarray(0, end);
}

function write(at: number, text: string): number {
	if (text.length > lengthMax) throw VaultError.of("malformed", "a place's name is too long");
	const bytes = scratch.write(text, at + 1, "utf8");
	scratch[at] = bytes;
	return at + 1 + bytes;
}
