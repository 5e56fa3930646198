// Attention under a mask with libpare-attention alone, in C++: what masked_attention.c does, with
// owners that release. In CMake: find_package(pare), then link with pare::pare-attention.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <pare/pruning.h>
#include <vector>

static void check(pare_status status)
{
    if (status == PARE_OK)
        return;
    std::fprintf(stderr, "%s\n", pare_error_message());
    std::exit(status);
}

// What `create` makes of the arguments, with its owner.
template <typename T, typename... Parameters, typename... Arguments>
auto make(void (*destroy)(T *), pare_status (*create)(Parameters...), Arguments... arguments)
{
    T *object = nullptr;
    check(create(arguments..., &object));
    return std::unique_ptr<T, void (*)(T *)>(object, destroy);
}

// A sequence of random tokens: dense, for `observer`, or under `plan`, beside the reference.
static void run_layer(pare_context *context, const pare_geometry &g, const pare_plan *plan,
                      pare_observer *observer)
{
    constexpr std::size_t size = 32; // floats of one head
    const std::size_t width = g.heads * size, queries[] = {0, g.queries}, keys[] = {0, g.keys};
    std::vector<float> q(g.queries * width), k(g.keys * width), v(g.keys * width);
    std::vector<float> output(q), d_output(q), d_q(q), logsumexp(g.queries * g.heads);
    for (auto *data : {&q, &k, &v, &d_output})
        std::generate(data->begin(), data->end(), [] { return 4.f * std::rand() / RAND_MAX - 2; });
    pare_attention call{};
    call.heads = g.heads;
    call.head_size = size;
    call.scale = 1 / std::sqrt(float(size));
    call.query = {q.data(), width, size}; // data, floats from token to token, head to head
    call.key = {k.data(), width, size};
    call.value = {v.data(), width, size};
    call.output = {output.data(), width, size};
    call.queries = {queries, 1};
    call.keys = {keys, 1};
    call.causal = g.causal;
    call.window = g.window;
    call.plan = plan;
    call.observer = observer;
    call.logsumexp = logsumexp.data(); // for the backward call
    const std::size_t bytes = pare_attention_workspace(context, &call) / 64 * 64 + 64;
    std::unique_ptr<void, void (*)(void *)> workspace(std::aligned_alloc(64, bytes), std::free);
    check(pare_attention_forward(context, &call, workspace.get()));
    if (!plan)
        return;
    pare_attention_gradient gradient{}; // of the gradients only the queries' is asked for
    gradient.output_gradient = {d_output.data(), width, size};
    gradient.query = {d_q.data(), width, size};
    check(pare_attention_backward(context, &call, &gradient, workspace.get()));
    std::vector<double> exact(output.size()), d_exact(output.size());
    pare_attention_reference_gradient reference{}; // in fp64, cell by cell
    reference.query = d_exact.data();
    check(pare_attention_reference(&call, exact.data(), nullptr, nullptr));
    check(pare_attention_reference_backward(&call, gradient.output_gradient, &reference));
    double worst = 0;
    for (std::size_t i = 0; i < exact.size(); i++)
        worst = std::max({worst, std::abs(output[i] - exact[i]), std::abs(d_q[i] - d_exact[i])});
    std::printf("largest difference from the reference %.1e\n", worst);
}

// Prunes 80% of one layer of 4 heads; 64 keys of memory lie before the first of 128 queries.
static const char *make_mask(pare_context *context, const char *path)
{
    const pare_geometry g{PARE_GEOMETRY_CELL, 1, 4, 128, 192, true, 0};
    auto average = make(pare_average_destroy, pare_average_create, &g);
    pare_observer observer = pare_average_observer(average.get(), 0);
    run_layer(context, g, nullptr, &observer);
    pare_average_add_examples(average.get(), 1);
    pare_prune_options options{};
    options.percent = 80;
    auto mask = make(pare_mask_destroy, pare_mask_create, average.get(), &options);
    check(pare_mask_save(mask.get(), path));
    return path;
}

int main(int count, char **arguments)
{
    auto context = make(pare_context_destroy, pare_context_create, nullptr);
    const char *path = count > 1 ? arguments[1] : make_mask(context.get(), "masked_attention.mask");
    auto mask = make(pare_mask_destroy, pare_mask_load, path);
    const pare_geometry &g = *pare_mask_geometry(mask.get());
    std::printf("%s keeps %.1f%%\n", path, 100 - pare_mask_describe(mask.get()).p_admissible);
    for (std::size_t layer = 0; layer < g.layers; layer++) {
        auto plan = make(pare_plan_destroy, pare_mask_plan, mask.get(), layer, g.queries, g.keys);
        run_layer(context.get(), g, plan.get(), nullptr);
    }
}
