"""Train the PyTorch quick-start network on Fashion-MNIST and record the run.

    python examples/fashion_mnist.py --data data --epochs 5

Everything about the run is said in W&B's words: ``import wandb`` in place of the
import line below makes this a W&B script.
"""

import argparse
import os

import fashion_mnist_data
import torch
from torch import nn
from torch.utils.data import DataLoader, Subset
from torchvision import datasets
from torchvision.transforms import ToTensor

import runfmt as wandb

CLASSES = "T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot".split(",")


class NeuralNetwork(nn.Module):
    """Three linear layers, as in PyTorch's quick start: (N, 1, 28, 28) float to (N, 10) logits."""

    def __init__(self):
        super().__init__()
        self.flatten = nn.Flatten()
        self.linear_relu_stack = nn.Sequential(
            nn.Linear(28 * 28, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
        )

    def forward(self, x):
        return self.linear_relu_stack(self.flatten(x))


def train(dataloader, model, loss_fn, optimizer):
    """Train for one epoch; give the mean loss."""
    total = 0.0
    model.train()
    for x, y in dataloader:
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        total += loss.item()
    return total / len(dataloader)


@torch.no_grad()
def test(dataloader, model, loss_fn):
    """Give the mean loss, the accuracy and the logits of the last batch."""
    loss, correct, logits = 0.0, 0, None
    model.eval()
    for x, y in dataloader:
        logits = model(x)
        loss += loss_fn(logits, y).item()
        correct += (logits.argmax(1) == y).sum().item()
    return loss / len(dataloader), correct / len(dataloader.dataset), logits


@torch.no_grad()
def sample_images(dataset, model, count=8):
    """Pictures with what the model takes them for."""
    pictures = [dataset[i] for i in range(count)]
    guesses = model(torch.stack([x for x, _ in pictures])).argmax(1)
    return [
        wandb.Image(x, caption=f"{CLASSES[guess]} (is {CLASSES[y]})")
        for (x, y), guess in zip(pictures, guesses, strict=True)
    ]


def load(folder, limit):
    """The training and the test set, of at most ``limit`` pictures each."""
    fashion_mnist_data.provide(folder)
    for is_train in (True, False):
        dataset = datasets.FashionMNIST(folder, train=is_train, transform=ToTensor())
        yield Subset(dataset, range(min(limit or len(dataset), len(dataset))))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default="data", help="folder with the four files, or where to put them")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=1e-2)
    parser.add_argument("--limit", type=int, default=None, help="use only so many pictures")
    args = parser.parse_args()

    torch.manual_seed(0)
    training, testing = load(args.data, args.limit)
    train_dataloader = DataLoader(training, batch_size=args.batch_size, shuffle=True)
    test_dataloader = DataLoader(testing, batch_size=args.batch_size)
    model = NeuralNetwork()
    loss_fn = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=args.lr)

    wandb.init(project="fashion-mnist", notes="PyTorch quick start", tags=["mlp", "sgd"])
    wandb.config.update(args)
    wandb.define_metric("test_loss", summary="min")

    best = 0.0
    for epoch in range(1, args.epochs + 1):
        train_loss = train(train_dataloader, model, loss_fn, optimizer)
        test_loss, accuracy, logits = test(test_dataloader, model, loss_fn)
        wandb.log(
            {
                "epoch": epoch,
                "train_loss": train_loss,
                "test_loss": test_loss,
                "accuracy": accuracy,
                "samples": sample_images(testing, model),
                "logits": wandb.Histogram(logits),
            }
        )
        print(f"epoch {epoch}: loss {train_loss:.4f}, test loss {test_loss:.4f}, accuracy {accuracy:.1%}")
        best = max(best, accuracy)
        wandb.run.summary["best_accuracy"] = best

    torch.save(model.state_dict(), os.path.join(wandb.run.dir, "model.pth"))
    wandb.alert(title="Training is done", text=f"Best accuracy {best:.1%} after {args.epochs} epochs")
    wandb.finish()


if __name__ == "__main__":
    main()
