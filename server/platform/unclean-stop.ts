/** Something is left for the next start; the message is a sentence for the operator. */
export class UncleanStop extends Error {}
