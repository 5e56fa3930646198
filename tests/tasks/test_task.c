/* What all tasks check alike. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "status_check.h"
#include "tasks/task.h"

static void test_a_tokenizer_has_the_pieces_of_the_model(void **state)
{
    (void)state;
    check_ok(pri_check_pieces("word pieces", 30522, 30522));
    assert_fails(pri_check_pieces("word pieces", 30522, 30523), PARE_ERROR_ARGUMENT,
                 "the model knows 30522 word pieces and the tokenizer has 30523");
    /* No padding makes 30522, so some pieces are lost. */
    assert_fails(pri_check_pieces("word pieces", 30522, 30521), PARE_ERROR_ARGUMENT,
                 "the model knows 30522 word pieces and the tokenizer has 30521");
    check_ok(pri_check_pieces("word pieces", 30528, 30522));
    check_ok(pri_check_pieces("word pieces", 30592, 30465));
    assert_fails(pri_check_pieces("word pieces", 30592, 30464), PARE_ERROR_ARGUMENT, "30464");
    assert_fails(pri_check_pieces("source pieces", 30592, 30593), PARE_ERROR_ARGUMENT,
                 "30592 source pieces");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_tokenizer_has_the_pieces_of_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
