/**
 * A certificate and its key for `receiver.test`, 2020 to 2120, signed by itself. It protects nothing:
 * tests of outgoing TLS listen with it. Made with `openssl ca -selfsign`.
 */
export const key = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgecqys3+d3P9aj4Sm
5asuQAiI2KfwYvzYK9ub67qMUPKhRANCAASC2pZ2AnfUhvyo6mzkfOUAz008466v
3WV0W2uU43BUb6k963SUj+VX9/NvCiwMyCcyK51iE3WNZ//lr+sUlK2a
-----END PRIVATE KEY-----
`;

export const certificate = `-----BEGIN CERTIFICATE-----
MIIBbTCCAROgAwIBAgIBATAKBggqhkjOPQQDAjAYMRYwFAYDVQQDDA1yZWNlaXZl
ci50ZXN0MCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAwMTAxMDAwMDAwWjAYMRYwFAYD
VQQDDA1yZWNlaXZlci50ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEgtqW
dgJ31Ib8qOps5HzlAM9NPOOur91ldFtrlONwVG+pPet0lI/lV/fzbwosDMgnMiud
YhN1jWf/5a/rFJStmqNMMEowGAYDVR0RBBEwD4INcmVjZWl2ZXIudGVzdDAPBgNV
HRMBAf8EBTADAQH/MB0GA1UdDgQWBBSFIwg8UeAu8c+V4D1GsWZfJY3FMjAKBggq
hkjOPQQDAgNIADBFAiEAh4QH+24IO7lSQ6K5BxAlbWG5jIxkiGjYFt0Zj7qtcTcC
IHhTcxFlIlacYXz3L7vwoYCNBzTBtrUAczHbg1nGzsux
-----END CERTIFICATE-----
`;
