/* Remarks of tasks. */
#include "tasks/remark.h"

void pri_remark_begin(pri_text *remarks)
{
    if (remarks->length)
        pri_text_append(remarks, "; ");
}

void pri_remark_cut(pri_text *remarks, const char *texts, const char *limit, size_t length,
                    const pri_cut_share *shares, size_t count)
{
    bool begun = false;
    for (size_t i = 0; i < count; i++) {
        if (!shares[i].file || !shares[i].cut)
            continue;
        if (!begun) {
            pri_remark_begin(remarks);
            pri_text_append(remarks, "%s longer than %s %zu are cut: ", texts, limit, length);
        }
        pri_text_append(remarks, "%s%llu of %llu in %s", begun ? ", " : "",
                        (unsigned long long)shares[i].cut, (unsigned long long)shares[i].all,
                        shares[i].file);
        begun = true;
    }
}
