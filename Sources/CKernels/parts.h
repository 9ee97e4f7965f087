// For templates of 32-value formats: where a format's block holds CK_PARTS times 32 values, its functions are told which of
// them are meant. Columns 32 b … of a row are part b % CK_PARTS of a block.
#ifndef CK_PARTS
#define CK_PARTS 1
#endif

#undef CK_WITH_PART
#if CK_PARTS == 1
#define CK_WITH_PART(ARGUMENT, B) ARGUMENT
#else
#define CK_WITH_PART(ARGUMENT, B) ARGUMENT, (B) % CK_PARTS
#endif
