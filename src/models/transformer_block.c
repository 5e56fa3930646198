/* Forward code of the halves of a transformer layer: transformer_block.h has the formulas. */
#include "models/transformer_block.h"

pare_tensor *pri_norm_run(const pri_block_pass *pass, const pri_norm *norm, pare_tensor *h)
{
    return pare_layer_norm(pass->tape, h, norm->gain, norm->offset, pass->epsilon);
}

static pare_tensor *linear(const pri_block_pass *pass, pare_tensor *h, pare_tensor *weight,
                           pare_tensor *bias)
{
    return pare_linear(pass->tape, h, weight, bias, PARE_ACTIVATION_NONE);
}

static pare_tensor *block_input(const pri_block_pass *pass, const pri_norm *norm, pare_tensor *h)
{
    return pass->pre_norm ? pri_norm_run(pass, norm, h) : h;
}

static pare_tensor *add_change(const pri_block_pass *pass, const pri_norm *norm, pare_tensor *h,
                               pare_tensor *change)
{
    pare_tensor *sum = pare_add_dropped(pass->tape, h, change, pass->dropout);
    return pass->pre_norm ? sum : pri_norm_run(pass, norm, sum);
}

pare_tensor *pri_attention_block_run(const pri_block_pass *pass, const pri_attention_block *block,
                                     const pare_attention *layout, pare_tensor *h,
                                     pare_tensor *memory)
{
    pare_tensor *input = block_input(pass, &block->norm, h);
    pare_tensor *source = memory ? memory : input;
    pare_tensor *attended =
        pare_attend(pass->tape, layout, linear(pass, input, block->query_weight, block->query_bias),
                    linear(pass, source, block->key_weight, block->key_bias),
                    linear(pass, source, block->value_weight, block->value_bias), NULL);
    pare_tensor *change = linear(pass, attended, block->output_weight, block->output_bias);
    return add_change(pass, &block->norm, h, change);
}

pare_tensor *pri_feed_forward_block_run(const pri_block_pass *pass,
                                        const pri_feed_forward_block *block, pare_tensor *h)
{
    pare_tensor *input = block_input(pass, &block->norm, h);
    pare_tensor *inner =
        pare_linear_dropped(pass->tape, input, block->inner_weight, block->inner_bias,
                            pass->activation, pass->inner_dropout);
    pare_tensor *change = linear(pass, inner, block->outer_weight, block->outer_bias);
    return add_change(pass, &block->norm, h, change);
}
