/* Gives a room without sources yet something to archive. */
typedef int pare_empty_translation_unit;
